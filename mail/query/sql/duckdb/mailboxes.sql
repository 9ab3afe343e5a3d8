-- Compiled from projections.py by `make sql`.
SELECT
  *
FROM (
  SELECT
    *
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
      FROM "events" AS "t0"
      WHERE
        "t0"."kind" = 'mail.sent'
    ) AS "t2"
  ) AS "t4"
  UNION ALL
  SELECT
    *
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
      "t0"."sender" AS "persona"
    FROM "events" AS "t0"
    WHERE
      (
        "t0"."kind" IN (
          'mail.read',
          'mail.unread',
          'mail.acked',
          'mail.archived',
          'mail.unarchived',
          'mail.trashed',
          'mail.restored',
          'mail.tagged',
          'mail.untagged'
        )
        OR (
          (
            "t0"."kind" = 'mail.sent'
          ) AND (
            "t0"."reply_to" IS NOT NULL
          )
        )
      )
      AND NOT (
        (
          "t0"."kind" = 'mail.sent'
        )
        AND ARRAY_CONTAINS("t0"."recipients", "t0"."sender")
      )
  ) AS "t3"
) AS "t5"
UNION ALL
SELECT
  *
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
    '*' AS "persona"
  FROM "events" AS "t0"
  WHERE
    "t0"."kind" = 'run.started'
) AS "t1"
