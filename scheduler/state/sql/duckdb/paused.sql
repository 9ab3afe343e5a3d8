-- Compiled from projections.py by `make sql`.
SELECT
  "t2"."seq",
  "t2"."id",
  "t2"."ts",
  "t2"."kind",
  "t2"."sender",
  "t2"."ref",
  "t2"."run",
  "t2"."data",
  "t2"."hash"
FROM (
  SELECT
    *
  FROM (
    SELECT
      *
    FROM "standing" AS "t0"
    WHERE
      "t0"."kind" IN ('scheduler.paused', 'scheduler.resumed')
  ) AS "t1"
  WHERE
    "t1"."seq" < CAST($before AS BIGINT)
) AS "t2"
ORDER BY
  "t2"."seq" DESC
LIMIT $limit
