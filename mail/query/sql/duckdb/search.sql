-- Compiled from projections.py by `make sql`.
WITH "t6" AS (
  SELECT
    "t5"."seq",
    "t5"."length",
    "t5"."word",
    (
      "t5"."length" - LENGTH(REPLACE("t5"."text", "t5"."word", ''))
    ) / LENGTH("t5"."word") AS "count"
  FROM (
    SELECT
      "t0"."seq",
      "t0"."text",
      "t0"."length",
      UNNEST(CAST($words AS TEXT[])) AS "word"
    FROM "letters" AS "t0"
  ) AS "t5"
  WHERE
    CONTAINS("t5"."text", "t5"."word")
)
SELECT
  *
FROM (
  SELECT
    "t2"."seq",
    "t2"."id",
    "t2"."ts",
    "t2"."sender",
    "t2"."recipients",
    "t2"."subject",
    "t2"."type",
    "t2"."priority",
    "t2"."thread",
    "t2"."reply_to",
    "t2"."run",
    "t2"."data",
    "t2"."body",
    "t16"."score",
    "t16"."words"
  FROM (
    SELECT
      "t0"."seq",
      "t0"."id",
      "t0"."ts",
      "t0"."sender",
      "t0"."recipients",
      "t0"."subject",
      "t0"."type",
      "t0"."priority",
      "t0"."thread",
      "t0"."reply_to",
      "t0"."run",
      "t0"."data",
      "t0"."body"
    FROM "letters" AS "t0"
  ) AS "t2"
  INNER JOIN (
    SELECT
      *
    FROM (
      SELECT
        "t12"."seq",
        CAST(SUM("t12"."score") AS DOUBLE) AS "score",
        COUNT(*) AS "words"
      FROM (
        SELECT
          "t11"."seq",
          "t11"."length",
          "t11"."word",
          "t11"."count",
          "t11"."holding",
          "t11"."mean",
          "t11"."documents",
          CAST((
            LN(
              (
                (
                  (
                    "t11"."documents" - "t11"."holding"
                  ) + 0.5
                ) / (
                  "t11"."holding" + 0.5
                )
              ) + 1
            ) * "t11"."count" * 2.2
          ) / (
            "t11"."count" + (
              (
                (
                  (
                    "t11"."length" * 0.75
                  ) / "t11"."mean"
                ) + 0.25
              ) * 1.2
            )
          ) AS DECIMAL(18, 12)) AS "score"
        FROM (
          SELECT
            "t8"."seq",
            "t8"."length",
            "t8"."word",
            "t8"."count",
            "t10"."holding",
            "t4"."mean",
            "t4"."documents"
          FROM "t6" AS "t8"
          INNER JOIN (
            SELECT
              "t7"."word",
              COUNT(*) AS "holding"
            FROM "t6" AS "t7"
            GROUP BY
              1
          ) AS "t10"
            ON "t8"."word" = "t10"."word"
          CROSS JOIN (
            SELECT
              AVG("t0"."length") AS "mean",
              COUNT(*) AS "documents"
            FROM "letters" AS "t0"
          ) AS "t4"
        ) AS "t11"
      ) AS "t12"
      GROUP BY
        1
    ) AS "t13"
    ORDER BY
      "t13"."words" DESC,
      "t13"."score" DESC,
      "t13"."seq" DESC
    LIMIT $limit
  ) AS "t16"
    ON "t2"."seq" = "t16"."seq"
) AS "t17"
ORDER BY
  "t17"."words" DESC,
  "t17"."score" DESC,
  "t17"."seq" DESC
LIMIT $limit
