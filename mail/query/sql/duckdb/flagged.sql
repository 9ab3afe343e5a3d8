-- Compiled from projections.py by `make sql`.
WITH "t8" AS (
  SELECT
    *
  FROM (
    SELECT
      "t3"."seq",
      "t3"."id",
      "t3"."ts",
      "t3"."kind",
      "t3"."sender",
      "t3"."recipients",
      "t3"."subject",
      "t3"."thread",
      "t3"."reply_to",
      "t3"."priority",
      "t3"."ref",
      "t3"."run",
      "t3"."data",
      "t3"."about"
    FROM (
      SELECT
        "t0"."seq",
        "t0"."id",
        "t0"."ts",
        "t0"."kind",
        "t0"."sender",
        "t0"."recipients",
        "t0"."subject",
        "t0"."thread",
        "t0"."reply_to",
        "t0"."priority",
        "t0"."ref",
        "t0"."run",
        "t0"."data",
        CASE WHEN "t0"."kind" = 'mail.sent' THEN "t0"."reply_to" ELSE "t0"."ref" END AS "about"
      FROM "mailbox" AS "t0"
    ) AS "t3"
    SEMI JOIN (
      SELECT
        UNNEST(CAST($ids AS TEXT[])) AS "item"
    ) AS "t4"
      ON "t3"."about" = "t4"."item"
  ) AS "t6"
  WHERE
    "t6"."sender" = $persona
)
SELECT
  *
FROM (
  SELECT
    "t11"."seq",
    "t11"."id",
    "t11"."ts",
    "t11"."sender",
    "t11"."recipients",
    "t11"."subject",
    COALESCE(
      CASE
        WHEN JSON_TYPE("t11"."data" -> '$.type') = 'VARCHAR'
        THEN (
          "t11"."data" -> '$.type'
        ) ->> '$'
        ELSE NULL
      END,
      'note'
    ) AS "type",
    "t11"."priority",
    "t11"."thread",
    "t11"."reply_to",
    "t11"."run",
    "t11"."data",
    COALESCE("t17"."read", FALSE) AS "read",
    COALESCE("t17"."acked", FALSE) AS "acked",
    COALESCE("t17"."archived", FALSE) AS "archived",
    COALESCE("t17"."trashed", FALSE) AS "trashed",
    COALESCE("t17"."answered", FALSE) AS "answered",
    COALESCE("t19"."tags", []) AS "tags"
  FROM (
    SELECT
      *
    FROM (
      SELECT
        *
      FROM (
        SELECT
          "t3"."seq",
          "t3"."id",
          "t3"."ts",
          "t3"."kind",
          "t3"."sender",
          "t3"."recipients",
          "t3"."subject",
          "t3"."thread",
          "t3"."reply_to",
          "t3"."priority",
          "t3"."ref",
          "t3"."run",
          "t3"."data",
          "t3"."about"
        FROM (
          SELECT
            "t0"."seq",
            "t0"."id",
            "t0"."ts",
            "t0"."kind",
            "t0"."sender",
            "t0"."recipients",
            "t0"."subject",
            "t0"."thread",
            "t0"."reply_to",
            "t0"."priority",
            "t0"."ref",
            "t0"."run",
            "t0"."data",
            CASE WHEN "t0"."kind" = 'mail.sent' THEN "t0"."reply_to" ELSE "t0"."ref" END AS "about"
          FROM "mailbox" AS "t0"
        ) AS "t3"
        SEMI JOIN (
          SELECT
            UNNEST(CAST($ids AS TEXT[])) AS "item"
        ) AS "t4"
          ON "t3"."id" = "t4"."item"
      ) AS "t5"
      WHERE
        "t5"."kind" = 'mail.sent'
    ) AS "t7"
    WHERE
      ARRAY_CONTAINS("t7"."recipients", $persona)
  ) AS "t11"
  LEFT OUTER JOIN (
    SELECT
      "t13"."ref",
      COALESCE(MAX("t13"."seq") FILTER(WHERE
        "t13"."kind" = 'mail.read'), 0) > COALESCE(MAX("t13"."seq") FILTER(WHERE
        "t13"."kind" = 'mail.unread'), 0) AS "read",
      COALESCE(MAX("t13"."seq") FILTER(WHERE
        "t13"."kind" = 'mail.acked'), 0) > 0 AS "acked",
      COALESCE(MAX("t13"."seq") FILTER(WHERE
        "t13"."kind" = 'mail.archived'), 0) > COALESCE(MAX("t13"."seq") FILTER(WHERE
        "t13"."kind" = 'mail.unarchived'), 0) AS "archived",
      COALESCE(MAX("t13"."seq") FILTER(WHERE
        "t13"."kind" = 'mail.trashed'), 0) > COALESCE(MAX("t13"."seq") FILTER(WHERE
        "t13"."kind" = 'mail.restored'), 0) AS "trashed",
      COALESCE(MAX("t13"."seq") FILTER(WHERE
        "t13"."kind" = 'mail.sent'), 0) > 0 AS "answered",
      COALESCE(MAX("t13"."seq") FILTER(WHERE
        "t13"."kind" = 'mail.bounced'), 0) > 0 AS "bounced"
    FROM (
      SELECT
        "t9"."seq",
        "t9"."kind",
        CASE WHEN "t9"."kind" = 'mail.sent' THEN "t9"."reply_to" ELSE "t9"."ref" END AS "ref",
        CASE
          WHEN "t9"."kind" = 'mail.bounced'
          THEN CASE
            WHEN JSON_TYPE("t9"."data" -> '$.recipient') = 'VARCHAR'
            THEN (
              "t9"."data" -> '$.recipient'
            ) ->> '$'
            ELSE NULL
          END
          ELSE "t9"."sender"
        END AS "persona"
      FROM "t8" AS "t9"
      WHERE
        STARTS_WITH("t9"."kind", 'mail.')
        AND CASE WHEN "t9"."kind" = 'mail.sent' THEN "t9"."reply_to" ELSE "t9"."ref" END IS NOT NULL
    ) AS "t13"
    GROUP BY
      1
  ) AS "t17"
    ON "t11"."id" = "t17"."ref"
  LEFT OUTER JOIN (
    SELECT
      "t15"."ref",
      LIST_SORT(ARRAY_AGG("t15"."tag") FILTER(WHERE
        "t15"."tag" IS NOT NULL)) AS "tags"
    FROM (
      SELECT
        *
      FROM (
        SELECT
          "t12"."ref",
          "t12"."tag",
          FIRST("t12"."kind" ORDER BY "t12"."seq" DESC) AS "kind"
        FROM (
          SELECT
            "t9"."seq",
            "t9"."id",
            "t9"."ts",
            "t9"."kind",
            "t9"."sender",
            "t9"."recipients",
            "t9"."subject",
            "t9"."thread",
            "t9"."reply_to",
            "t9"."priority",
            "t9"."ref",
            "t9"."run",
            "t9"."data",
            "t9"."about",
            CASE
              WHEN JSON_TYPE("t9"."data" -> '$.tag') = 'VARCHAR'
              THEN (
                "t9"."data" -> '$.tag'
              ) ->> '$'
              ELSE NULL
            END AS "tag"
          FROM "t8" AS "t9"
          WHERE
            "t9"."kind" IN ('mail.tagged', 'mail.untagged')
        ) AS "t12"
        GROUP BY
          1,
          2
      ) AS "t14"
      WHERE
        "t14"."kind" = 'mail.tagged'
    ) AS "t15"
    GROUP BY
      1
  ) AS "t19"
    ON "t11"."id" = "t19"."ref"
) AS "t20"
ORDER BY
  "t20"."seq" ASC
