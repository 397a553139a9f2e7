// Scores rows with LiteRT's C API, which libLiteRt.so has (version 2; the Python package
// ai-edge-litert holds one). Where LiteRT's own headers are on the include path they are used;
// elsewhere the few functions that are needed are declared here as those headers have them.
#pragma once

#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "ranklite_client.hpp"

#if __has_include("litert/c/litert_compiled_model.h")
#include "litert/c/litert_compiled_model.h"
#include "litert/c/litert_environment.h"
#include "litert/c/litert_environment_options.h"
#include "litert/c/litert_model.h"
#include "litert/c/litert_options.h"
#include "litert/c/litert_tensor_buffer.h"
#else
extern "C" {
typedef struct LiteRtEnvironmentT* LiteRtEnvironment;
typedef struct LiteRtModelT* LiteRtModel;
typedef struct LiteRtOptionsT* LiteRtOptions;
typedef struct LiteRtCompiledModelT* LiteRtCompiledModel;
typedef struct LiteRtSignatureT* LiteRtSignature;
typedef struct LiteRtTensorBufferT* LiteRtTensorBuffer;
typedef enum { kLiteRtStatusOk = 0 } LiteRtStatus;
typedef enum { kLiteRtElementTypeFloat32 = 1, kLiteRtElementTypeInt32 = 2 } LiteRtElementType;
typedef enum { kLiteRtTensorBufferTypeHostMemory = 1 } LiteRtTensorBufferType;
typedef enum {
  kLiteRtTensorBufferLockModeRead = 0,
  kLiteRtTensorBufferLockModeWrite = 1
} LiteRtTensorBufferLockMode;
enum { kLiteRtHwAcceleratorCpu = 1 };
typedef int LiteRtHwAcceleratorSet;
typedef size_t LiteRtParamIndex;
typedef struct {
  unsigned int rank : 7;
  unsigned int has_strides : 1;
  int32_t dimensions[8];
  uint32_t strides[8];
} LiteRtLayout;
typedef struct {
  LiteRtElementType element_type;
  LiteRtLayout layout;
} LiteRtRankedTensorType;
typedef enum {
  kLiteRtEnvOptionTagAutoRegisterAccelerators = 24,
  kLiteRtEnvOptionTagMinLoggerSeverity = 25
} LiteRtEnvOptionTag;
enum { kLiteRtAnyTypeInt = 2 };
typedef struct {
  int type;
  union {
    int64_t int_value;
    double real_value;
  };
} LiteRtAny;
typedef struct {
  LiteRtEnvOptionTag tag;
  LiteRtAny value;
} LiteRtEnvOption;
LiteRtStatus LiteRtCreateEnvironment(int, const LiteRtEnvOption*, LiteRtEnvironment*);
void LiteRtDestroyEnvironment(LiteRtEnvironment);
LiteRtStatus LiteRtCreateModelFromFile(LiteRtEnvironment, const char*, LiteRtModel*);
void LiteRtDestroyModel(LiteRtModel);
LiteRtStatus LiteRtGetNumModelSignatures(LiteRtModel, LiteRtParamIndex*);
LiteRtStatus LiteRtGetModelSignature(LiteRtModel, LiteRtParamIndex, LiteRtSignature*);
LiteRtStatus LiteRtGetSignatureKey(LiteRtSignature, const char**);
LiteRtStatus LiteRtGetNumSignatureInputs(LiteRtSignature, LiteRtParamIndex*);
LiteRtStatus LiteRtGetSignatureInputName(LiteRtSignature, LiteRtParamIndex, const char**);
LiteRtStatus LiteRtCreateOptions(LiteRtOptions*);
LiteRtStatus LiteRtSetOptionsHardwareAccelerators(LiteRtOptions, LiteRtHwAcceleratorSet);
void LiteRtDestroyOptions(LiteRtOptions);
LiteRtStatus LiteRtCreateCompiledModel(LiteRtEnvironment, LiteRtModel, LiteRtOptions,
                                       LiteRtCompiledModel*);
void LiteRtDestroyCompiledModel(LiteRtCompiledModel);
LiteRtStatus LiteRtCompiledModelResizeInputTensor(LiteRtCompiledModel, LiteRtParamIndex,
                                                  LiteRtParamIndex, const int*, size_t);
LiteRtStatus LiteRtCreateManagedTensorBuffer(LiteRtEnvironment, LiteRtTensorBufferType,
                                             const LiteRtRankedTensorType*, size_t,
                                             LiteRtTensorBuffer*);
void LiteRtDestroyTensorBuffer(LiteRtTensorBuffer);
LiteRtStatus LiteRtLockTensorBuffer(LiteRtTensorBuffer, void**, LiteRtTensorBufferLockMode);
LiteRtStatus LiteRtUnlockTensorBuffer(LiteRtTensorBuffer);
LiteRtStatus LiteRtRunCompiledModel(LiteRtCompiledModel, LiteRtParamIndex, size_t,
                                    LiteRtTensorBuffer*, size_t, LiteRtTensorBuffer*);
}
#endif

namespace ranklite {

// A model that is loaded, on the CPU. It is not safe to use from two threads at once.
class Model {
 public:
  // Throws std::runtime_error where the file cannot be loaded or is not the client's.
  explicit Model(const std::string& path) {
    LiteRtEnvOption settings[2]{};
    settings[0].tag = kLiteRtEnvOptionTagMinLoggerSeverity;
    settings[0].value.int_value = kErrors;
    settings[1].tag = kLiteRtEnvOptionTagAutoRegisterAccelerators;
    settings[1].value.int_value = kLiteRtHwAcceleratorCpu;
    for (LiteRtEnvOption& each : settings) each.value.type = kLiteRtAnyTypeInt;
    LiteRtEnvironment environment = nullptr;
    check(LiteRtCreateEnvironment(2, settings, &environment), "make an environment");
    environment_.reset(environment);
    LiteRtModel model = nullptr;
    check(LiteRtCreateModelFromFile(environment, path.c_str(), &model), "load " + path);
    model_.reset(model);
    LiteRtOptions options = nullptr;
    check(LiteRtCreateOptions(&options), "make options");
    const Handle<LiteRtOptions, LiteRtDestroyOptions> owned(options);
    check(LiteRtSetOptionsHardwareAccelerators(options, kLiteRtHwAcceleratorCpu), "set the CPU");
    LiteRtCompiledModel compiled = nullptr;
    check(LiteRtCreateCompiledModel(environment, model, options, &compiled), "compile " + path);
    compiled_.reset(compiled);
    find_signature();
  }

  // Probabilities of a positive, a row each.
  std::vector<float> score(const std::vector<Row>& rows) {
    std::vector<float> scores;
    for (std::size_t first = 0; first < rows.size(); first += kBatch) {
      const std::size_t last = std::min(rows.size(), first + kBatch);
      const auto part = run({rows.begin() + first, rows.begin() + last});
      scores.insert(scores.end(), part.begin(), part.end());
    }
    return scores;
  }

 private:
  template <auto destroy>
  struct Destroyer {
    template <class T>
    void operator()(T* handle) const {
      destroy(handle);
    }
  };
  template <class H, auto destroy>
  using Handle = std::unique_ptr<std::remove_pointer_t<H>, Destroyer<destroy>>;
  using Buffer = Handle<LiteRtTensorBuffer, LiteRtDestroyTensorBuffer>;

  static constexpr std::size_t kBatch = 512;
  static constexpr int kErrors = 3;  // what LiteRT logs

  static void check(LiteRtStatus status, const std::string& what) {
    if (status == kLiteRtStatusOk) return;
    throw std::runtime_error("LiteRT cannot " + what + ": status " +
                             std::to_string(static_cast<int>(status)));
  }

  void find_signature() {
    LiteRtParamIndex count = 0;
    check(LiteRtGetNumModelSignatures(model_.get(), &count), "count signatures");
    for (signature_ = 0; signature_ < count; ++signature_) {
      LiteRtSignature signature = nullptr;
      const char* key = nullptr;
      check(LiteRtGetModelSignature(model_.get(), signature_, &signature), "read a signature");
      check(LiteRtGetSignatureKey(signature, &key), "read a signature");
      if (std::strcmp(key, "serving_raw") != 0) continue;
      LiteRtParamIndex inputs = 0;
      check(LiteRtGetNumSignatureInputs(signature, &inputs), "count inputs");
      for (LiteRtParamIndex k = 0; k < inputs; ++k) {
        const char* name = nullptr;
        check(LiteRtGetSignatureInputName(signature, k, &name), "read an input");
        names_.push_back(name);
      }
      for (const Input& input : encode({})) place(input.name);
      if (encode({}).size() == names_.size()) return;
      break;
    }
    throw std::runtime_error("the model is not the one of this client");
  }

  std::size_t place(const std::string& name) const {
    for (std::size_t k = 0; k < names_.size(); ++k) {
      if (names_[k] == name) return k;
    }
    throw std::runtime_error("the model is not the one of this client: it has no input " + name);
  }

  Buffer buffer(LiteRtElementType type, const std::vector<int>& shape) const {
    LiteRtRankedTensorType about{};
    about.element_type = type;
    about.layout.rank = static_cast<unsigned>(shape.size());
    std::size_t bytes = 4;
    for (std::size_t k = 0; k < shape.size(); ++k) {
      about.layout.dimensions[k] = shape[k];
      bytes *= static_cast<std::size_t>(shape[k]);
    }
    LiteRtTensorBuffer made = nullptr;
    check(LiteRtCreateManagedTensorBuffer(environment_.get(), kLiteRtTensorBufferTypeHostMemory,
                                          &about, bytes, &made),
          "make a buffer");
    return Buffer(made);
  }

  static void copy(LiteRtTensorBuffer buffer, void* data, std::size_t bytes, bool writes) {
    void* memory = nullptr;
    check(LiteRtLockTensorBuffer(buffer, &memory,
                                 writes ? kLiteRtTensorBufferLockModeWrite
                                        : kLiteRtTensorBufferLockModeRead),
          "lock a buffer");
    std::memcpy(writes ? memory : data, writes ? data : memory, bytes);
    check(LiteRtUnlockTensorBuffer(buffer), "unlock a buffer");
  }

  // Buffers for so many rows; they are kept for the next call.
  void make_room(const std::vector<Input>& inputs, std::size_t rows) {
    if (rows == rows_) return;
    rows_ = 0;
    buffers_.resize(inputs.size());
    for (const Input& input : inputs) {
      std::vector<int> shape{static_cast<int>(rows)};
      if (input.is_list) shape.push_back(static_cast<int>(input.length));
      const std::size_t k = place(input.name);
      check(LiteRtCompiledModelResizeInputTensor(compiled_.get(), signature_, k, shape.data(),
                                                 shape.size()),
            "resize " + input.name);
      buffers_[k] =
          buffer(input.is_float ? kLiteRtElementTypeFloat32 : kLiteRtElementTypeInt32, shape);
    }
    scores_ = buffer(kLiteRtElementTypeFloat32, {static_cast<int>(rows), 1});
    rows_ = rows;
  }

  std::vector<float> run(const std::vector<Row>& rows) {
    std::vector<Input> inputs = encode(rows);
    make_room(inputs, rows.size());
    for (Input& input : inputs) {
      void* data = input.is_float ? static_cast<void*>(input.floats.data()) : input.ints.data();
      copy(buffers_[place(input.name)].get(), data, rows.size() * input.length * 4, true);
    }
    std::vector<LiteRtTensorBuffer> given;
    for (const Buffer& each : buffers_) given.push_back(each.get());
    LiteRtTensorBuffer output = scores_.get();
    check(LiteRtRunCompiledModel(compiled_.get(), signature_, given.size(), given.data(), 1, &output),
          "run the model");
    std::vector<float> scores(rows.size());
    copy(output, scores.data(), scores.size() * 4, false);
    return scores;
  }

  // What is made last goes first.
  Handle<LiteRtEnvironment, LiteRtDestroyEnvironment> environment_;
  Handle<LiteRtModel, LiteRtDestroyModel> model_;
  Handle<LiteRtCompiledModel, LiteRtDestroyCompiledModel> compiled_;
  LiteRtParamIndex signature_ = 0;
  std::vector<std::string> names_;
  std::size_t rows_ = 0;
  std::vector<Buffer> buffers_;
  Buffer scores_;
};

}  // namespace ranklite
