-- Compiled from projections.py by `make sql`.
WITH "t3" AS (
  SELECT
    *
  FROM "again" AS "t0"
  WHERE
    "t0"."seq" < CAST($until AS BIGINT)
), "t10" AS (
  SELECT
    *
  FROM (
    SELECT
      "t4"."seq",
      "t4"."id",
      "t4"."ts",
      "t4"."kind",
      "t4"."sender",
      "t4"."recipients",
      "t4"."subject",
      "t4"."priority",
      "t4"."ref",
      "t4"."run",
      "t4"."data"
    FROM (
      SELECT
        *
      FROM "standing" AS "t1"
      WHERE
        "t1"."seq" < CAST($since AS BIGINT)
    ) AS "t4"
  ) AS "t7"
  UNION ALL
  SELECT
    *
  FROM (
    SELECT
      "t5"."seq",
      "t5"."id",
      "t5"."ts",
      "t5"."kind",
      "t5"."sender",
      "t5"."recipients",
      "t5"."subject",
      "t5"."priority",
      "t5"."ref",
      "t5"."run",
      "t5"."data"
    FROM (
      SELECT
        *
      FROM "events" AS "t2"
      WHERE
        "t2"."seq" >= CAST($since AS BIGINT)
        AND "t2"."seq" < CAST($until AS BIGINT)
    ) AS "t5"
  ) AS "t8"
)
SELECT
  "t36"."persona",
  "t36"."unread",
  "t36"."seq",
  "t36"."id",
  "t36"."ts",
  "t36"."sender",
  "t36"."subject",
  "t36"."priority",
  "t36"."run",
  COALESCE(
    NULLIF(
      CASE
        WHEN JSON_TYPE("t36"."data" -> '$.type') = 'VARCHAR'
        THEN (
          "t36"."data" -> '$.type'
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
  FROM (
    SELECT
      "t34"."seq",
      "t34"."id",
      "t34"."ts",
      "t34"."kind",
      "t34"."sender",
      "t34"."recipients",
      "t34"."subject",
      "t34"."priority",
      "t34"."ref",
      "t34"."run",
      "t34"."data",
      "t34"."persona",
      ROW_NUMBER() OVER (
        PARTITION BY "t34"."persona"
        ORDER BY "t34"."seq" DESC
        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
      ) - 1 AS "rank",
      COUNT(*) OVER (
        PARTITION BY "t34"."persona"
        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
      ) AS "unread"
    FROM (
      SELECT
        *
      FROM (
        SELECT
          "t26"."seq",
          "t26"."id",
          "t26"."ts",
          "t26"."kind",
          "t26"."sender",
          "t26"."recipients",
          "t26"."subject",
          "t26"."priority",
          "t26"."ref",
          "t26"."run",
          "t26"."data",
          "t26"."persona"
        FROM (
          SELECT
            *
          FROM (
            SELECT
              "t16"."seq",
              "t16"."id",
              "t16"."ts",
              "t16"."kind",
              "t16"."sender",
              "t16"."recipients",
              "t16"."subject",
              "t16"."priority",
              "t16"."ref",
              "t16"."run",
              "t16"."data",
              UNNEST("t16"."recipients") AS "persona"
            FROM (
              SELECT
                *
              FROM "t10" AS "t12"
              WHERE
                "t12"."kind" = 'mail.sent'
            ) AS "t16"
          ) AS "t21"
          WHERE
            ARRAY_CONTAINS(CAST($roster AS TEXT[]), "t21"."persona")
        ) AS "t26"
        ANTI JOIN (
          SELECT DISTINCT
            "t27"."ref",
            "t27"."sender" AS "reader"
          FROM (
            SELECT
              "t23"."ref",
              "t23"."sender",
              "t23"."pair",
              FIRST("t23"."kind" ORDER BY "t23"."seq" DESC) AS "kind"
            FROM (
              SELECT
                "t17"."seq",
                "t17"."id",
                "t17"."ts",
                "t17"."kind",
                "t17"."sender",
                "t17"."recipients",
                "t17"."subject",
                "t17"."priority",
                "t17"."ref",
                "t17"."run",
                "t17"."data",
                CASE
                  WHEN "t17"."kind" = 'mail.read'
                  THEN 'mail.read'
                  WHEN "t17"."kind" = 'mail.unread'
                  THEN 'mail.read'
                  WHEN "t17"."kind" = 'mail.archived'
                  THEN 'mail.archived'
                  WHEN "t17"."kind" = 'mail.unarchived'
                  THEN 'mail.archived'
                  WHEN "t17"."kind" = 'mail.trashed'
                  THEN 'mail.trashed'
                  WHEN "t17"."kind" = 'mail.restored'
                  THEN 'mail.trashed'
                  ELSE NULL
                END AS "pair"
              FROM (
                SELECT
                  *
                FROM "t10" AS "t12"
                WHERE
                  "t12"."kind" IN (
                    'mail.read',
                    'mail.archived',
                    'mail.trashed',
                    'mail.unread',
                    'mail.unarchived',
                    'mail.restored'
                  )
                  AND ARRAY_CONTAINS(CAST($roster AS TEXT[]), "t12"."sender")
              ) AS "t17"
            ) AS "t23"
            GROUP BY
              1,
              2,
              3
          ) AS "t27"
          WHERE
            "t27"."kind" IN ('mail.read', 'mail.archived', 'mail.trashed')
        ) AS "t31"
          ON "t26"."id" = "t31"."ref" AND "t26"."persona" = "t31"."reader"
        ANTI JOIN (
          SELECT DISTINCT
            "t12"."ref" AS "undone"
          FROM "t10" AS "t12"
          WHERE
            "t12"."kind" IN ('mail.unread', 'mail.unarchived', 'mail.restored')
        ) AS "t18"
          ON "t26"."id" = "t18"."undone"
      ) AS "t33"
      UNION ALL
      SELECT
        *
      FROM (
        SELECT
          "t22"."seq",
          "t22"."id",
          "t22"."ts",
          "t22"."kind",
          "t22"."sender",
          "t22"."recipients",
          "t22"."subject",
          "t22"."priority",
          "t22"."ref",
          "t22"."run",
          "t22"."data",
          "t22"."persona"
        FROM (
          SELECT
            *
          FROM (
            SELECT
              "t11"."seq",
              "t11"."id",
              "t11"."ts",
              "t11"."kind",
              "t11"."sender",
              "t11"."recipients",
              "t11"."subject",
              "t11"."priority",
              "t11"."ref",
              "t11"."run",
              "t11"."data",
              UNNEST("t11"."recipients") AS "persona"
            FROM (
              SELECT
                "t6"."seq",
                "t6"."id",
                "t6"."ts",
                "t6"."kind",
                "t6"."sender",
                "t6"."recipients",
                "t6"."subject",
                "t6"."priority",
                "t6"."ref",
                "t6"."run",
                "t6"."data"
              FROM "t3" AS "t6"
              WHERE
                "t6"."kind" = 'mail.sent'
            ) AS "t11"
          ) AS "t14"
          WHERE
            ARRAY_CONTAINS(CAST($roster AS TEXT[]), "t14"."persona")
        ) AS "t22"
        ANTI JOIN (
          SELECT DISTINCT
            "t24"."ref",
            "t24"."sender" AS "reader"
          FROM (
            SELECT
              "t20"."ref",
              "t20"."sender",
              "t20"."pair",
              FIRST("t20"."kind" ORDER BY "t20"."seq" DESC) AS "kind"
            FROM (
              SELECT
                "t13"."seq",
                "t13"."id",
                "t13"."ts",
                "t13"."kind",
                "t13"."sender",
                "t13"."recipients",
                "t13"."subject",
                "t13"."priority",
                "t13"."ref",
                "t13"."run",
                "t13"."data",
                CASE
                  WHEN "t13"."kind" = 'mail.read'
                  THEN 'mail.read'
                  WHEN "t13"."kind" = 'mail.unread'
                  THEN 'mail.read'
                  WHEN "t13"."kind" = 'mail.archived'
                  THEN 'mail.archived'
                  WHEN "t13"."kind" = 'mail.unarchived'
                  THEN 'mail.archived'
                  WHEN "t13"."kind" = 'mail.trashed'
                  THEN 'mail.trashed'
                  WHEN "t13"."kind" = 'mail.restored'
                  THEN 'mail.trashed'
                  ELSE NULL
                END AS "pair"
              FROM (
                SELECT
                  *
                FROM (
                  SELECT
                    "t6"."seq",
                    "t6"."id",
                    "t6"."ts",
                    "t6"."kind",
                    "t6"."sender",
                    "t6"."recipients",
                    "t6"."subject",
                    "t6"."priority",
                    "t6"."ref",
                    "t6"."run",
                    "t6"."data"
                  FROM "t3" AS "t6"
                ) AS "t9"
                WHERE
                  "t9"."kind" IN (
                    'mail.read',
                    'mail.archived',
                    'mail.trashed',
                    'mail.unread',
                    'mail.unarchived',
                    'mail.restored'
                  )
                  AND ARRAY_CONTAINS(CAST($roster AS TEXT[]), "t9"."sender")
              ) AS "t13"
            ) AS "t20"
            GROUP BY
              1,
              2,
              3
          ) AS "t24"
          WHERE
            "t24"."kind" IN ('mail.read', 'mail.archived', 'mail.trashed')
        ) AS "t29"
          ON "t22"."id" = "t29"."ref" AND "t22"."persona" = "t29"."reader"
        SEMI JOIN (
          SELECT DISTINCT
            "t12"."ref" AS "undone"
          FROM "t10" AS "t12"
          WHERE
            "t12"."kind" IN ('mail.unread', 'mail.unarchived', 'mail.restored')
        ) AS "t18"
          ON "t22"."id" = "t18"."undone"
      ) AS "t32"
    ) AS "t34"
  ) AS "t35"
  WHERE
    "t35"."rank" < CAST($most AS BIGINT)
) AS "t36"
ORDER BY
  "t36"."seq" ASC,
  "t36"."persona" ASC
