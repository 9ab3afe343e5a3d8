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
    (
      REGEXP_MATCHES("t0"."kind", '^(dispatch|task|run|patch|weave|gate)\.')
      AND (
        CASE
          WHEN JSON_TYPE("t0"."data" -> '$.dispatch') = 'VARCHAR'
          THEN (
            "t0"."data" -> '$.dispatch'
          ) ->> '$'
          ELSE NULL
        END = $dispatch
      )
    )
    OR (
      (
        $dispatch IS NULL
      ) AND STARTS_WITH("t0"."kind", 'dispatch.')
    )
) AS "t1"
ORDER BY
  "t1"."seq" ASC
