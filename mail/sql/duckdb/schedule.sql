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
    "t0"."seq" > CAST($after AS BIGINT)
    AND REGEXP_MATCHES("t0"."kind", '^(sprint|tick|run|patch|weave|gate|persona|scheduler)\.')
    AND CASE
      WHEN JSON_TYPE("t0"."data" -> '$.idle') = 'VARCHAR'
      THEN (
        "t0"."data" -> '$.idle'
      ) ->> '$'
      ELSE NULL
    END IS NULL
) AS "t1"
ORDER BY
  "t1"."seq" ASC
