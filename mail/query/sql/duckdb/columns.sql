-- Compiled from projections.py by `make sql`.
{'v': 'BIGINT', 'seq': 'BIGINT', 'id': 'TEXT', 'ts': 'TEXT', 'kind': 'TEXT', 'sender': 'TEXT', 'recipients': 'TEXT[]', 'subject': 'TEXT', 'body': 'TEXT', 'thread': 'TEXT', 'reply_to': 'TEXT', 'priority': 'TEXT', 'ref': 'TEXT', 'run': 'TEXT', 'data': 'JSON', 'prev': 'TEXT', 'hash': 'TEXT'}
