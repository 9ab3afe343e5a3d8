-- Compiled from projections.py by `make sql`.
WITH "t2" AS (
  SELECT
    *
  FROM (
    SELECT
      *
    FROM "events" AS "t0"
    WHERE
      "t0"."kind" = 'mail.sent'
  ) AS "t1"
  WHERE
    (
      $persona IS NULL
    )
    OR ARRAY_CONTAINS("t1"."recipients", $persona)
    OR (
      "t1"."sender" = $persona
    )
), "t6" AS (
  SELECT
    "t5"."seq",
    "t5"."text",
    LENGTH("t5"."text") AS "length"
  FROM (
    SELECT
      "t3"."seq",
      LOWER(
        "t3"."subject" || ' ' || "t3"."subject" || ' ' || "t3"."subject" || ' ' || "t3"."body"
      ) AS "text"
    FROM "t2" AS "t3"
  ) AS "t5"
), "t12" AS (
  SELECT
    *
  FROM (
    SELECT
      "t8"."seq",
      "t8"."text",
      "t8"."length",
      "t8"."word",
      (
        "t8"."length" - LENGTH(REPLACE("t8"."text", "t8"."word", ''))
      ) / LENGTH("t8"."word") AS "count"
    FROM (
      SELECT
        "t7"."seq",
        "t7"."text",
        "t7"."length",
        UNNEST(CAST($words AS TEXT[])) AS "word"
      FROM "t6" AS "t7"
    ) AS "t8"
  ) AS "t11"
  WHERE
    "t11"."count" > 0
)
SELECT
  *
FROM (
  SELECT
    "t4"."seq",
    "t4"."id",
    "t4"."ts",
    "t4"."sender",
    "t4"."recipients",
    "t4"."subject",
    COALESCE(
      CASE
        WHEN JSON_TYPE("t4"."data" -> '$.type') = 'VARCHAR'
        THEN (
          "t4"."data" -> '$.type'
        ) ->> '$'
        ELSE NULL
      END,
      'note'
    ) AS "type",
    "t4"."priority",
    "t4"."thread",
    "t4"."reply_to",
    "t4"."run",
    "t4"."data",
    "t4"."body",
    "t20"."words",
    "t20"."score"
  FROM "t2" AS "t4"
  INNER JOIN (
    SELECT
      "t18"."seq",
      CAST(SUM("t18"."score") AS DOUBLE) AS "score",
      COUNT(DISTINCT "t18"."word") AS "words"
    FROM (
      SELECT
        "t17"."seq",
        "t17"."text",
        "t17"."length",
        "t17"."word",
        "t17"."count",
        "t17"."holding",
        "t17"."mean",
        "t17"."documents",
        CAST((
          LN(
            (
              (
                (
                  "t17"."documents" - "t17"."holding"
                ) + 0.5
              ) / (
                "t17"."holding" + 0.5
              )
            ) + 1
          ) * "t17"."count" * 2.2
        ) / (
          "t17"."count" + (
            (
              (
                (
                  "t17"."length" * 0.75
                ) / "t17"."mean"
              ) + 0.25
            ) * 1.2
          )
        ) AS DECIMAL(18, 12)) AS "score"
      FROM (
        SELECT
          "t14"."seq",
          "t14"."text",
          "t14"."length",
          "t14"."word",
          "t14"."count",
          "t16"."holding",
          "t10"."mean",
          "t10"."documents"
        FROM "t12" AS "t14"
        INNER JOIN (
          SELECT
            "t13"."word",
            COUNT(*) AS "holding"
          FROM "t12" AS "t13"
          GROUP BY
            1
        ) AS "t16"
          ON "t14"."word" = "t16"."word"
        CROSS JOIN (
          SELECT
            AVG("t7"."length") AS "mean",
            COUNT(*) AS "documents"
          FROM "t6" AS "t7"
        ) AS "t10"
      ) AS "t17"
    ) AS "t18"
    GROUP BY
      1
  ) AS "t20"
    ON "t4"."seq" = "t20"."seq"
) AS "t21"
ORDER BY
  "t21"."words" DESC,
  "t21"."score" DESC,
  "t21"."seq" DESC
LIMIT $limit
