"""Point-in-time columns: what each row of the log may know of the rows before it.

Rows are sorted by key and time in SQL, which spills where memory is short, and pass by in chunks of
whole keys. The events before a row's state time are then a run of the sorted events, whose ends two
searches give: exact with equal times, and the same work whatever the key's share of the log. Sums
are differences of running sums; a list is kept as the place of its newest event, and read from the
sorted events when rows are written. Arrays of rows live in files of the working folder.

    views       the states that are computed besides the configured one
    state       arrays of all rows, state times, sessions
    sorted_rows the search among rows sorted by key and time
    key_sql     the query that sorts the rows of a key
    keys        what all columns with one key are made of
    columns     the whole, and what is read of it
"""
