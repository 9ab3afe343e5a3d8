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
    "t0"."seq" >= CAST($since AS BIGINT)
    AND REGEXP_MATCHES("t0"."kind", '^(dispatch|task|run|patch|weave|gate)\.')
) AS "t1"
WHERE
  CASE
    WHEN JSON_TYPE("t1"."data" -> '$.dispatch') = 'VARCHAR'
    THEN (
      "t1"."data" -> '$.dispatch'
    ) ->> '$'
    ELSE NULL
  END IS NOT NULL
ORDER BY
  "t1"."seq" ASC
