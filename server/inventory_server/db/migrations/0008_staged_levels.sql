-- How many levels a staged row has: the importer takes its chunks by them, without reading the rows it leaves.

ALTER TABLE import_row
    ADD COLUMN level_count integer NOT NULL GENERATED ALWAYS AS (json_array_length(levels)) STORED,
    ADD CONSTRAINT import_row_level_count_range CHECK (level_count BETWEEN 1 AND 1024);
