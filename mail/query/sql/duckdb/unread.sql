-- Compiled from projections.py by `make sql`.
SELECT
  "t10"."persona",
  "t10"."seq",
  "t10"."id",
  "t10"."ts",
  "t10"."sender",
  "t10"."subject",
  COALESCE(
    CASE
      WHEN JSON_TYPE("t10"."data" -> '$.type') = 'VARCHAR'
      THEN (
        "t10"."data" -> '$.type'
      ) ->> '$'
      ELSE NULL
    END,
    'note'
  ) AS "type",
  "t10"."priority",
  "t10"."run"
FROM (
  SELECT
    *
  FROM (
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
        "t4"."thread",
        "t4"."reply_to",
        "t4"."priority",
        "t4"."ref",
        "t4"."run",
        "t4"."data",
        "t4"."persona",
        COALESCE("t7"."read", FALSE) AS "read",
        COALESCE("t7"."acked", FALSE) AS "acked",
        COALESCE("t7"."archived", FALSE) AS "archived",
        COALESCE("t7"."trashed", FALSE) AS "trashed",
        COALESCE("t7"."answered", FALSE) AS "answered",
        COALESCE("t7"."bounced", FALSE) AS "bounced"
      FROM (
        SELECT
          "t1"."seq",
          "t1"."id",
          "t1"."ts",
          "t1"."kind",
          "t1"."sender",
          "t1"."recipients",
          "t1"."subject",
          "t1"."thread",
          "t1"."reply_to",
          "t1"."priority",
          "t1"."ref",
          "t1"."run",
          "t1"."data",
          UNNEST("t1"."recipients") AS "persona"
        FROM (
          SELECT
            *
          FROM "events" AS "t0"
          WHERE
            "t0"."kind" = 'mail.sent'
        ) AS "t1"
      ) AS "t4"
      LEFT OUTER JOIN (
        SELECT
          "t5"."ref",
          "t5"."persona" AS "reader",
          "t5"."read",
          "t5"."acked",
          "t5"."archived",
          "t5"."trashed",
          "t5"."answered",
          "t5"."bounced"
        FROM (
          SELECT
            "t2"."ref",
            "t2"."persona",
            COALESCE(MAX("t2"."seq") FILTER(WHERE
              "t2"."kind" = 'mail.read'), 0) > COALESCE(MAX("t2"."seq") FILTER(WHERE
              "t2"."kind" = 'mail.unread'), 0) AS "read",
            COALESCE(MAX("t2"."seq") FILTER(WHERE
              "t2"."kind" = 'mail.acked'), 0) > 0 AS "acked",
            COALESCE(MAX("t2"."seq") FILTER(WHERE
              "t2"."kind" = 'mail.archived'), 0) > COALESCE(MAX("t2"."seq") FILTER(WHERE
              "t2"."kind" = 'mail.unarchived'), 0) AS "archived",
            COALESCE(MAX("t2"."seq") FILTER(WHERE
              "t2"."kind" = 'mail.trashed'), 0) > COALESCE(MAX("t2"."seq") FILTER(WHERE
              "t2"."kind" = 'mail.restored'), 0) AS "trashed",
            COALESCE(MAX("t2"."seq") FILTER(WHERE
              "t2"."kind" = 'mail.sent'), 0) > 0 AS "answered",
            COALESCE(MAX("t2"."seq") FILTER(WHERE
              "t2"."kind" = 'mail.bounced'), 0) > 0 AS "bounced"
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
          ) AS "t2"
          GROUP BY
            1,
            2
        ) AS "t5"
      ) AS "t7"
        ON "t4"."id" = "t7"."ref" AND "t4"."persona" = "t7"."reader"
    ) AS "t8"
    WHERE
      NOT (
        "t8"."read"
      ) AND NOT (
        "t8"."archived"
      ) AND NOT (
        "t8"."trashed"
      )
  ) AS "t9"
  WHERE
    ARRAY_CONTAINS(CAST($roster AS TEXT[]), "t9"."persona")
) AS "t10"
ORDER BY
  "t10"."seq" ASC,
  "t10"."persona" ASC
