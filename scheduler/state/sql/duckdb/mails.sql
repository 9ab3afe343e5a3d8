-- Compiled from projections.py by `make sql`.
SELECT
  *
FROM (
  SELECT
    "t2"."type",
    COUNT(*) AS "number",
    MIN("t2"."seq") AS "first"
  FROM (
    SELECT
      "t1"."v",
      "t1"."seq",
      "t1"."id",
      "t1"."ts",
      "t1"."kind",
      "t1"."sender",
      "t1"."recipients",
      "t1"."subject",
      "t1"."body",
      "t1"."thread",
      "t1"."reply_to",
      "t1"."priority",
      "t1"."ref",
      "t1"."run",
      "t1"."data",
      "t1"."prev",
      "t1"."hash",
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
  ) AS "t2"
  GROUP BY
    1
) AS "t3"
ORDER BY
  "t3"."number" DESC,
  "t3"."first" ASC
