-- Compiled from projections.py by `make sql`.
SELECT
  "t2"."seq"
FROM (
  SELECT
    *
  FROM (
    SELECT
      *
    FROM "standing" AS "t0"
    WHERE
      "t0"."sender" = 'scheduler' AND "t0"."kind" = 'run.finished'
  ) AS "t1"
  WHERE
    CASE
      WHEN JSON_TYPE("t1"."data" -> '$.status') = 'VARCHAR'
      THEN (
        "t1"."data" -> '$.status'
      ) ->> '$'
      ELSE NULL
    END = 'limited'
    AND CASE
      WHEN JSON_TYPE("t1"."data" -> '$.until') = 'VARCHAR'
      THEN (
        "t1"."data" -> '$.until'
      ) ->> '$'
      ELSE NULL
    END > $now
) AS "t2"
ORDER BY
  "t2"."seq" ASC
LIMIT 1
