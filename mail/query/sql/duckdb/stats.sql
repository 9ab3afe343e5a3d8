-- Compiled from projections.py by `make sql`.
SELECT
  *
FROM (
  SELECT
    "t0"."kind",
    COUNT(*) AS "events",
    MIN("t0"."seq") AS "first",
    MAX("t0"."seq") AS "last",
    MIN("t0"."ts") AS "since",
    MAX("t0"."ts") AS "until"
  FROM "events" AS "t0"
  GROUP BY
    1
) AS "t1"
ORDER BY
  "t1"."kind" ASC
