-- Rows, indices, joins, windows, JSON, triggers, savepoints and a vacuum.
PRAGMA journal_mode = wal;
CREATE TABLE account(id INTEGER PRIMARY KEY, name TEXT NOT NULL, balance INTEGER NOT NULL DEFAULT 0);
CREATE TABLE entry(id INTEGER PRIMARY KEY, account INTEGER REFERENCES account, amount INTEGER, note TEXT);
CREATE TRIGGER book AFTER INSERT ON entry BEGIN
  UPDATE account SET balance = balance + new.amount WHERE id = new.account;
END;
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
INSERT INTO account(id, name) SELECT i, printf('account %05d', i * 7919 % 2003) FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 80000)
INSERT INTO entry SELECT i, 1 + i * 48271 % 2000, i * 16807 % 2001 - 1000,
  substr(hex(i * 69621) || replace(hex(zeroblob(100)), '0', 'n'), 1, i % 150) FROM n;
COMMIT;
CREATE INDEX by_account ON entry(account, amount);
CREATE INDEX by_name ON account(name);
SELECT count(*), sum(balance), (SELECT sum(amount) FROM entry) FROM account;
SELECT a.name, count(*), sum(e.amount), group_concat(e.id) FROM entry e JOIN account a ON a.id = e.account
  WHERE a.name BETWEEN 'account 00100' AND 'account 00110' GROUP BY a.id ORDER BY a.name;
SELECT max(total) FROM (SELECT sum(amount) OVER (PARTITION BY account ORDER BY id) AS total FROM entry);
SELECT count(*), sum(json_extract(it.value, '$.b'))
  FROM json_each((SELECT json_group_array(json_object('i', id, 'b', balance)) FROM account)) AS it;
SELECT count(DISTINCT note), sum(length(note)) FROM entry;
SAVEPOINT attempt;
DELETE FROM entry WHERE id % 3 = 0;
UPDATE entry SET note = note || note WHERE id % 5 = 0;
ROLLBACK TO attempt;
RELEASE attempt;
DELETE FROM entry WHERE id % 2 = 0;
PRAGMA wal_checkpoint(truncate);
VACUUM;
SELECT count(*), sum(amount), sum(length(note)) FROM entry;
PRAGMA integrity_check;
