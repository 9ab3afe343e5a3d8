-- Compiled from projections.py by `make sql`.
SELECT
  "t0"."seq",
  "t0"."id",
  "t0"."ts",
  "t0"."kind",
  "t0"."sender",
  "t0"."ref",
  "t0"."run",
  "t0"."data",
  "t0"."hash"
FROM "standing" AS "t0"
WHERE
  REGEXP_MATCHES("t0"."kind", '^(claim|task)\.')
  AND (
    (
      "t0"."kind" <> 'task.finished'
    )
    OR (
      CASE
        WHEN JSON_TYPE("t0"."data" -> '$.dispatch') = 'VARCHAR'
        THEN (
          "t0"."data" -> '$.dispatch'
        ) ->> '$'
        ELSE NULL
      END IS NULL
    )
  )
ORDER BY
  "t0"."seq" ASC
