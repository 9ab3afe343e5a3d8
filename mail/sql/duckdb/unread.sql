-- Compiled from projections.py by `make sql`.
SELECT
  *
FROM (
  SELECT
    "t14"."persona",
    "t14"."seq",
    "t14"."id",
    "t14"."ts",
    "t14"."sender",
    "t3"."subject",
    "t14"."type",
    "t14"."priority",
    "t3"."run"
  FROM (
    SELECT
      "t12"."seq",
      "t12"."id",
      "t12"."ts",
      "t12"."sender",
      "t12"."priority",
      "t12"."data",
      "t12"."persona",
      "t12"."read",
      "t12"."acked",
      "t12"."archived",
      "t12"."trashed",
      "t12"."answered",
      "t12"."bounced",
      COALESCE(
        CASE
          WHEN JSON_TYPE("t12"."data" -> '$.type') = 'VARCHAR'
          THEN (
            "t12"."data" -> '$.type'
          ) ->> '$'
          ELSE NULL
        END,
        'note'
      ) AS "type"
    FROM (
      SELECT
        *
      FROM (
        SELECT
          *
        FROM (
          SELECT
            "t6"."seq",
            "t6"."id",
            "t6"."ts",
            "t6"."sender",
            "t6"."priority",
            "t6"."data",
            "t6"."persona",
            COALESCE("t9"."read", FALSE) AS "read",
            COALESCE("t9"."acked", FALSE) AS "acked",
            COALESCE("t9"."archived", FALSE) AS "archived",
            COALESCE("t9"."trashed", FALSE) AS "trashed",
            COALESCE("t9"."answered", FALSE) AS "answered",
            COALESCE("t9"."bounced", FALSE) AS "bounced"
          FROM (
            SELECT
              "t2"."seq",
              "t2"."id",
              "t2"."ts",
              "t2"."sender",
              "t2"."priority",
              "t2"."data",
              UNNEST("t2"."recipients") AS "persona"
            FROM (
              SELECT
                *
              FROM "events" AS "t0"
              WHERE
                "t0"."kind" = 'mail.sent'
            ) AS "t2"
          ) AS "t6"
          LEFT OUTER JOIN (
            SELECT
              "t7"."ref",
              "t7"."persona" AS "reader",
              "t7"."read",
              "t7"."acked",
              "t7"."archived",
              "t7"."trashed",
              "t7"."answered",
              "t7"."bounced"
            FROM (
              SELECT
                "t4"."ref",
                "t4"."persona",
                COALESCE(MAX("t4"."seq") FILTER(WHERE
                  "t4"."kind" = 'mail.read'), 0) > COALESCE(MAX("t4"."seq") FILTER(WHERE
                  "t4"."kind" = 'mail.unread'), 0) AS "read",
                COALESCE(MAX("t4"."seq") FILTER(WHERE
                  "t4"."kind" = 'mail.acked'), 0) > 0 AS "acked",
                COALESCE(MAX("t4"."seq") FILTER(WHERE
                  "t4"."kind" = 'mail.archived'), 0) > COALESCE(MAX("t4"."seq") FILTER(WHERE
                  "t4"."kind" = 'mail.unarchived'), 0) AS "archived",
                COALESCE(MAX("t4"."seq") FILTER(WHERE
                  "t4"."kind" = 'mail.trashed'), 0) > COALESCE(MAX("t4"."seq") FILTER(WHERE
                  "t4"."kind" = 'mail.restored'), 0) AS "trashed",
                COALESCE(MAX("t4"."seq") FILTER(WHERE
                  "t4"."kind" = 'mail.sent'), 0) > 0 AS "answered",
                COALESCE(MAX("t4"."seq") FILTER(WHERE
                  "t4"."kind" = 'mail.bounced'), 0) > 0 AS "bounced"
              FROM (
                SELECT
                  "t0"."seq",
                  "t0"."kind",
                  CASE WHEN "t0"."kind" = 'mail.sent' THEN "t0"."reply_to" ELSE "t0"."ref" END AS "ref",
                  CASE
                    WHEN "t0"."kind" = 'mail.bounced'
                    THEN CASE
                      WHEN JSON_TYPE("t0"."data" -> '$.recipient') = 'VARCHAR'
                      THEN (
                        "t0"."data" -> '$.recipient'
                      ) ->> '$'
                      ELSE NULL
                    END
                    ELSE "t0"."sender"
                  END AS "persona"
                FROM "events" AS "t0"
                WHERE
                  STARTS_WITH("t0"."kind", 'mail.')
                  AND CASE WHEN "t0"."kind" = 'mail.sent' THEN "t0"."reply_to" ELSE "t0"."ref" END IS NOT NULL
              ) AS "t4"
              GROUP BY
                1,
                2
            ) AS "t7"
          ) AS "t9"
            ON "t6"."id" = "t9"."ref" AND "t6"."persona" = "t9"."reader"
        ) AS "t10"
        WHERE
          NOT (
            "t10"."read"
          )
          AND NOT (
            "t10"."archived"
          )
          AND NOT (
            "t10"."trashed"
          )
      ) AS "t11"
      WHERE
        ARRAY_CONTAINS(CAST($roster AS TEXT[]), "t11"."persona")
    ) AS "t12"
  ) AS "t14"
  INNER JOIN (
    SELECT
      "t0"."id",
      "t0"."subject",
      "t0"."run"
    FROM "events" AS "t0"
    WHERE
      "t0"."kind" = 'mail.sent'
  ) AS "t3"
    ON "t14"."id" = "t3"."id"
) AS "t15"
ORDER BY
  "t15"."seq" ASC
