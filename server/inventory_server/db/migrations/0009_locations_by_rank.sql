-- The order in which lines are served, so that the first location that has enough is found without a look at the rest.
CREATE INDEX location_by_rank ON location (store_id, priority, slug) WHERE enabled;
