"""Configuration whose class a registry gives: other packages' entries are valid, none is imported
before it is named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError, core_schema

from ranklite.models.registry import Registry, UnknownEntry

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler


class Registered:
    """Marks a type: the value of a key names the registry's entry that validates the rest.

    A union of all entries would do the same, and import all of them wherever one is read.

    Args:
      registry: Of classes of settings.
      key: Their key that holds the name of the entry.

    Example:
        Feature = Annotated[FeatureKind, Registered(KINDS, "kind")]
    """

    def __init__(self, registry: Registry[Any], key: str) -> None:
        self.registry, self.key = registry, key

    def entry(self, data: Any) -> type[BaseModel]:
        """The class that data ask for.

        Raises:
          ValidationError: They are no mapping, or name no entry; the message lists what is
            registered.
        """
        if not isinstance(data, dict):
            raise self._error("model_type", data, (), {"class_name": self.registry.what})
        if self.key not in data:
            raise self._error("missing", data, (self.key,))
        name = data[self.key]
        try:
            entry: type[BaseModel] = self.registry.get(name)
        except (UnknownEntry, TypeError) as error:
            context = {
                "reason": str(error),
                "discriminator": self.key,
                "tag": str(name),
                "expected_tags": ", ".join(map(repr, self.registry.names)),
            }
            problem = PydanticCustomError("unknown_entry", "{reason}", context)
            raise self._error(problem, name, ()) from None
        return entry

    def _error(
        self,
        problem: str | PydanticCustomError,
        value: Any,
        loc: tuple[int | str, ...],
        context: dict[str, Any] | None = None,
    ) -> ValidationError:
        details = InitErrorDetails(type=problem, loc=loc, input=value)
        if context:
            details["ctx"] = context
        return ValidationError.from_exception_data(self.registry.what, [details])

    def __get_pydantic_core_schema__(
        self, source: type[BaseModel], handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        def validate(data: Any) -> BaseModel:
            return data if isinstance(data, source) else self.entry(data).model_validate(data)

        # An instance is written by its own class, which knows more keys than the type that it has.
        return core_schema.no_info_plain_validator_function(
            validate, serialization=core_schema.simple_ser_schema("any")
        )
