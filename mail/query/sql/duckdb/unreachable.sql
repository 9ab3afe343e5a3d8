-- Compiled from projections.py by `make sql`.
WITH "t3" AS (
  SELECT DISTINCT
    "t0"."ref" AS "undone"
  FROM "standing" AS "t0"
  WHERE
    "t0"."kind" IN ('mail.unread', 'mail.unarchived', 'mail.restored')
), "t16" AS (
  SELECT
    *
  FROM (
    SELECT
      "t7"."v",
      "t7"."seq",
      "t7"."id",
      "t7"."ts",
      "t7"."kind",
      "t7"."sender",
      "t7"."recipients",
      "t7"."subject",
      "t7"."body",
      "t7"."thread",
      "t7"."reply_to",
      "t7"."priority",
      "t7"."ref",
      "t7"."run",
      "t7"."data",
      "t7"."prev",
      "t7"."hash"
    FROM (
      SELECT
        *
      FROM "again" AS "t1"
      WHERE
        "t1"."kind" = 'mail.sent'
    ) AS "t7"
    SEMI JOIN "t3" AS "t10"
      ON "t7"."id" = "t10"."undone"
  ) AS "t14"
  UNION ALL
  SELECT
    *
  FROM (
    SELECT
      "t8"."v",
      "t8"."seq",
      "t8"."id",
      "t8"."ts",
      "t8"."kind",
      "t8"."sender",
      "t8"."recipients",
      "t8"."subject",
      "t8"."body",
      "t8"."thread",
      "t8"."reply_to",
      "t8"."priority",
      "t8"."ref",
      "t8"."run",
      "t8"."data",
      "t8"."prev",
      "t8"."hash"
    FROM (
      SELECT
        *
      FROM "again" AS "t1"
      WHERE
        "t1"."kind" IN (
          'mail.read',
          'mail.unread',
          'mail.acked',
          'mail.archived',
          'mail.unarchived',
          'mail.trashed',
          'mail.restored',
          'mail.tagged',
          'mail.untagged',
          'mail.bounced'
        )
    ) AS "t8"
    SEMI JOIN "t3" AS "t10"
      ON "t8"."ref" = "t10"."undone"
  ) AS "t15"
)
SELECT
  "t31"."seq",
  "t31"."id",
  "t31"."sender",
  "t31"."persona",
  "t31"."subject",
  "t31"."thread"
FROM (
  SELECT
    *
  FROM (
    SELECT
      *
    FROM (
      SELECT
        "t13"."seq",
        "t13"."id",
        "t13"."ts",
        "t13"."kind",
        "t13"."sender",
        "t13"."recipients",
        "t13"."subject",
        "t13"."thread",
        "t13"."reply_to",
        "t13"."priority",
        "t13"."ref",
        "t13"."run",
        "t13"."data",
        "t13"."persona",
        COALESCE("t21"."read", FALSE) AS "read",
        COALESCE("t21"."acked", FALSE) AS "acked",
        COALESCE("t21"."archived", FALSE) AS "archived",
        COALESCE("t21"."trashed", FALSE) AS "trashed",
        COALESCE("t21"."answered", FALSE) AS "answered",
        COALESCE("t21"."bounced", FALSE) AS "bounced"
      FROM (
        SELECT
          "t2"."seq",
          "t2"."id",
          "t2"."ts",
          "t2"."kind",
          "t2"."sender",
          "t2"."recipients",
          "t2"."subject",
          "t2"."thread",
          "t2"."reply_to",
          "t2"."priority",
          "t2"."ref",
          "t2"."run",
          "t2"."data",
          UNNEST("t2"."recipients") AS "persona"
        FROM (
          SELECT
            *
          FROM "standing" AS "t0"
          WHERE
            "t0"."kind" = 'mail.sent'
        ) AS "t2"
      ) AS "t13"
      LEFT OUTER JOIN (
        SELECT
          "t18"."ref",
          "t18"."persona" AS "reader",
          "t18"."read",
          "t18"."acked",
          "t18"."archived",
          "t18"."trashed",
          "t18"."answered",
          "t18"."bounced"
        FROM (
          SELECT
            "t11"."ref",
            "t11"."persona",
            COALESCE(MAX("t11"."seq") FILTER(WHERE
              "t11"."kind" = 'mail.read'), 0) > COALESCE(MAX("t11"."seq") FILTER(WHERE
              "t11"."kind" = 'mail.unread'), 0) AS "read",
            COALESCE(MAX("t11"."seq") FILTER(WHERE
              "t11"."kind" = 'mail.acked'), 0) > 0 AS "acked",
            COALESCE(MAX("t11"."seq") FILTER(WHERE
              "t11"."kind" = 'mail.archived'), 0) > COALESCE(MAX("t11"."seq") FILTER(WHERE
              "t11"."kind" = 'mail.unarchived'), 0) AS "archived",
            COALESCE(MAX("t11"."seq") FILTER(WHERE
              "t11"."kind" = 'mail.trashed'), 0) > COALESCE(MAX("t11"."seq") FILTER(WHERE
              "t11"."kind" = 'mail.restored'), 0) AS "trashed",
            COALESCE(MAX("t11"."seq") FILTER(WHERE
              "t11"."kind" = 'mail.sent'), 0) > 0 AS "answered",
            COALESCE(MAX("t11"."seq") FILTER(WHERE
              "t11"."kind" = 'mail.bounced'), 0) > 0 AS "bounced"
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
            FROM "standing" AS "t0"
            WHERE
              STARTS_WITH("t0"."kind", 'mail.')
              AND CASE WHEN "t0"."kind" = 'mail.sent' THEN "t0"."reply_to" ELSE "t0"."ref" END IS NOT NULL
          ) AS "t11"
          GROUP BY
            1,
            2
        ) AS "t18"
      ) AS "t21"
        ON "t13"."id" = "t21"."ref" AND "t13"."persona" = "t21"."reader"
      ANTI JOIN "t3" AS "t9"
        ON "t13"."id" = "t9"."undone"
    ) AS "t25"
    UNION ALL
    SELECT
      *
    FROM (
      SELECT
        "t24"."seq",
        "t24"."id",
        "t24"."ts",
        "t24"."kind",
        "t24"."sender",
        "t24"."recipients",
        "t24"."subject",
        "t24"."thread",
        "t24"."reply_to",
        "t24"."priority",
        "t24"."ref",
        "t24"."run",
        "t24"."data",
        "t24"."persona",
        COALESCE("t28"."read", FALSE) AS "read",
        COALESCE("t28"."acked", FALSE) AS "acked",
        COALESCE("t28"."archived", FALSE) AS "archived",
        COALESCE("t28"."trashed", FALSE) AS "trashed",
        COALESCE("t28"."answered", FALSE) AS "answered",
        COALESCE("t28"."bounced", FALSE) AS "bounced"
      FROM (
        SELECT
          "t20"."seq",
          "t20"."id",
          "t20"."ts",
          "t20"."kind",
          "t20"."sender",
          "t20"."recipients",
          "t20"."subject",
          "t20"."thread",
          "t20"."reply_to",
          "t20"."priority",
          "t20"."ref",
          "t20"."run",
          "t20"."data",
          UNNEST("t20"."recipients") AS "persona"
        FROM (
          SELECT
            "t17"."seq",
            "t17"."id",
            "t17"."ts",
            "t17"."kind",
            "t17"."sender",
            "t17"."recipients",
            "t17"."subject",
            "t17"."thread",
            "t17"."reply_to",
            "t17"."priority",
            "t17"."ref",
            "t17"."run",
            "t17"."data"
          FROM "t16" AS "t17"
          WHERE
            "t17"."kind" = 'mail.sent'
        ) AS "t20"
      ) AS "t24"
      LEFT OUTER JOIN (
        SELECT
          "t26"."ref",
          "t26"."persona" AS "reader",
          "t26"."read",
          "t26"."acked",
          "t26"."archived",
          "t26"."trashed",
          "t26"."answered",
          "t26"."bounced"
        FROM (
          SELECT
            "t22"."ref",
            "t22"."persona",
            COALESCE(MAX("t22"."seq") FILTER(WHERE
              "t22"."kind" = 'mail.read'), 0) > COALESCE(MAX("t22"."seq") FILTER(WHERE
              "t22"."kind" = 'mail.unread'), 0) AS "read",
            COALESCE(MAX("t22"."seq") FILTER(WHERE
              "t22"."kind" = 'mail.acked'), 0) > 0 AS "acked",
            COALESCE(MAX("t22"."seq") FILTER(WHERE
              "t22"."kind" = 'mail.archived'), 0) > COALESCE(MAX("t22"."seq") FILTER(WHERE
              "t22"."kind" = 'mail.unarchived'), 0) AS "archived",
            COALESCE(MAX("t22"."seq") FILTER(WHERE
              "t22"."kind" = 'mail.trashed'), 0) > COALESCE(MAX("t22"."seq") FILTER(WHERE
              "t22"."kind" = 'mail.restored'), 0) AS "trashed",
            COALESCE(MAX("t22"."seq") FILTER(WHERE
              "t22"."kind" = 'mail.sent'), 0) > 0 AS "answered",
            COALESCE(MAX("t22"."seq") FILTER(WHERE
              "t22"."kind" = 'mail.bounced'), 0) > 0 AS "bounced"
          FROM (
            SELECT
              "t17"."seq",
              "t17"."kind",
              CASE WHEN "t17"."kind" = 'mail.sent' THEN "t17"."reply_to" ELSE "t17"."ref" END AS "ref",
              CASE
                WHEN "t17"."kind" = 'mail.bounced'
                THEN CASE
                  WHEN JSON_TYPE("t17"."data" -> '$.recipient') = 'VARCHAR'
                  THEN (
                    "t17"."data" -> '$.recipient'
                  ) ->> '$'
                  ELSE NULL
                END
                ELSE "t17"."sender"
              END AS "persona"
            FROM "t16" AS "t17"
            WHERE
              STARTS_WITH("t17"."kind", 'mail.')
              AND CASE WHEN "t17"."kind" = 'mail.sent' THEN "t17"."reply_to" ELSE "t17"."ref" END IS NOT NULL
          ) AS "t22"
          GROUP BY
            1,
            2
        ) AS "t26"
      ) AS "t28"
        ON "t24"."id" = "t28"."ref" AND "t24"."persona" = "t28"."reader"
    ) AS "t29"
  ) AS "t30"
  WHERE
    NOT (
      "t30"."read"
    )
    AND NOT (
      "t30"."bounced"
    )
    AND NOT (
      ARRAY_CONTAINS(CAST($roster AS TEXT[]), "t30"."persona")
    )
) AS "t31"
ORDER BY
  "t31"."seq" ASC,
  "t31"."persona" ASC
