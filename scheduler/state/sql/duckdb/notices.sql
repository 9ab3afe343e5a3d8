-- Compiled from projections.py by `make sql`.
SELECT
  "t1"."seq",
  "t1"."id",
  "t1"."ts",
  "t1"."kind",
  "t1"."sender",
  "t1"."ref",
  "t1"."run",
  "t1"."data",
  "t1"."hash"
FROM (
  SELECT
    *
  FROM "events" AS "t0"
  WHERE
    "t0"."seq" >= CAST($since AS BIGINT) AND "t0"."sender" = 'scheduler'
) AS "t1"
WHERE
  STARTS_WITH("t1"."kind", 'notice.')
ORDER BY
  "t1"."seq" ASC
