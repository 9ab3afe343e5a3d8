-- Compiled from projections.py by `make sql`.
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
  "t1"."data"
FROM (
  SELECT
    *
  FROM "events" AS "t0"
  WHERE
    (
      (
        "t0"."kind" = 'mail.sent'
      )
      AND ARRAY_CONTAINS("t0"."recipients", $persona)
    )
    OR (
      (
        "t0"."sender" = $persona
      )
      AND (
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
    )
    OR (
      "t0"."kind" = 'run.started'
    )
) AS "t1"
