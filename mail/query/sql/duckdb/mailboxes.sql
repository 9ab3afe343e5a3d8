-- Compiled from projections.py by `make sql`.
SELECT
  *
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
) AS "t3"
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
) AS "t2"
