-- Compiled from projections.py by `make sql`.
SELECT
  "t2"."seq",
  "t2"."ts",
  "t2"."kind",
  "t2"."ref",
  "t2"."run"
FROM (
  SELECT
    *
  FROM (
    SELECT
      *
    FROM "mailbox" AS "t0"
    WHERE
      "t0"."sender" = $persona
      AND "t0"."kind" IN (
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
  ) AS "t1"
  WHERE
    ARRAY_CONTAINS(CAST($ids AS TEXT[]), "t1"."ref")
) AS "t2"
ORDER BY
  "t2"."seq" ASC
