-- Compiled from projections.py by `make sql`.
SELECT
  "t3"."seq",
  "t3"."id",
  "t3"."ts",
  "t3"."kind",
  "t3"."sender",
  "t3"."ref",
  "t3"."run",
  "t3"."data",
  "t3"."hash"
FROM (
  SELECT
    *
  FROM (
    SELECT
      *
    FROM (
      SELECT
        *
      FROM "events" AS "t0"
      WHERE
        "t0"."seq" >= CAST($since AS BIGINT)
        AND REGEXP_MATCHES("t0"."kind", '^(dispatch|task|run|patch|weave|gate)\.')
    ) AS "t1"
    WHERE
      CONTAINS(CAST("t1"."data" AS TEXT), $written)
  ) AS "t2"
  WHERE
    CASE
      WHEN JSON_TYPE("t2"."data" -> '$.dispatch') = 'VARCHAR'
      THEN (
        "t2"."data" -> '$.dispatch'
      ) ->> '$'
      ELSE NULL
    END = $dispatch
) AS "t3"
ORDER BY
  "t3"."seq" ASC
