-- Compiled from projections.py by `make sql`.
SELECT
  "t1"."seq"
FROM (
  SELECT
    *
  FROM "events" AS "t0"
  WHERE
    "t0"."seq" >= CAST($since AS BIGINT) AND "t0"."ts" > $now
) AS "t1"
ORDER BY
  "t1"."seq" ASC
LIMIT 1
