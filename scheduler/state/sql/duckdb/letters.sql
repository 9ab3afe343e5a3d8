-- Compiled from projections.py by `make sql`.
SELECT
  "t1"."seq",
  "t1"."id",
  "t1"."ts",
  "t1"."sender",
  "t1"."recipients",
  "t1"."subject",
  COALESCE(
    NULLIF(
      CASE
        WHEN JSON_TYPE("t1"."data" -> '$.type') = 'VARCHAR'
        THEN (
          "t1"."data" -> '$.type'
        ) ->> '$'
        ELSE NULL
      END,
      ''
    ),
    'note'
  ) AS "type"
FROM (
  SELECT
    *
  FROM "events" AS "t0"
  WHERE
    "t0"."seq" >= CAST($since AS BIGINT)
    AND "t0"."seq" < CAST($until AS BIGINT)
) AS "t1"
WHERE
  "t1"."kind" = 'mail.sent'
ORDER BY
  "t1"."seq" ASC
