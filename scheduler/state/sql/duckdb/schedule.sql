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
    FROM "events" AS "t0"
    WHERE
      "t0"."seq" >= CAST($lately AS BIGINT)
      AND "t0"."seq" < CAST($until AS BIGINT)
  ) AS "t1"
  WHERE
    (
      "t1"."seq" >= CAST($since AS BIGINT)
    )
    OR REGEXP_MATCHES("t1"."kind", '^(sprint|gate|scheduler|report|round|deploy)\.')
) AS "t2"
WHERE
  REGEXP_MATCHES(
    "t2"."kind",
    '^(sprint|tick|run|patch|weave|gate|persona|budget|scheduler|review|report|round|deploy)\.'
  )
  AND CASE
    WHEN JSON_TYPE("t2"."data" -> '$.dispatch') = 'VARCHAR'
    THEN (
      "t2"."data" -> '$.dispatch'
    ) ->> '$'
    ELSE NULL
  END IS NULL
  AND (
    (
      "t2"."kind" <> 'tick.done'
    )
    OR (
      CASE
        WHEN JSON_TYPE("t2"."data" -> '$.idle') = 'VARCHAR'
        THEN (
          "t2"."data" -> '$.idle'
        ) ->> '$'
        ELSE NULL
      END IS NULL
    )
  )
ORDER BY
  "t2"."seq" ASC
