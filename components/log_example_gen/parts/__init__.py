"""A log in parts, each worked on by one worker of an engine; what comes out is the same.

A file is of one part, or cut between records; the parts stand in the order of the log. Whatever is
added up is small, and exact in any order; whatever is large travels by files of the work folder. A
task writes under another name first and renames, and what it returned is kept beside: it may run
twice, be killed, or be skipped when a run starts again.

    divide      which files, and pieces of files, are of which part
    look        whether a text file may be cut, and how many lines come before a piece
    cut         where large files are cut
    work        the work folder, and stages of tasks in it
    keyed       rows of a query's tables by the hash of a key
    load        a part's rows, typed, as Parquet, and its rejects
    part_rejects  those, in a file
    log         the rows of some parts, as the table that the rest of ingestion reads
    times       the first row of eval and of test, of a split by time
    counts      what is told of the splits
    shares      rows by the hash of a key, and the columns of the past there
    past        all columns of the past
    negatives   sampled negatives
    tables      what a query's tables are
    places      where rows of a part are
    rows_of_log rows as they stand in the log
    shards      Examples, a file a task
    run         all of it, in order
"""
