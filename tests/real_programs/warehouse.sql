-- A database in memory with indexes, changed in a transaction, and asked by joins and groups.
CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, price INTEGER, bin INTEGER);
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 150000)
INSERT INTO item SELECT i, 'item ' || (i * 7919 % 150001) || hex(i * i), i * 31 % 1009, i % 503 FROM n;
CREATE INDEX by_name ON item (name);
CREATE INDEX by_bin ON item (bin, price);
SELECT count(*), sum(price), max(name) FROM item;
SELECT bin, count(*), avg(price) FROM item GROUP BY bin ORDER BY avg(price) DESC LIMIT 3;
BEGIN;
UPDATE item SET price = price + 1, name = name || 'x' WHERE id % 5 = 0;
DELETE FROM item WHERE bin % 10 = 3;
COMMIT;
SELECT count(*), sum(a.price * b.price) FROM item a JOIN item b ON b.id = a.id + 1 WHERE a.bin < 100;
SELECT count(*), sum(length(name)), min(name) FROM (SELECT name FROM item ORDER BY name DESC LIMIT 100000);
PRAGMA integrity_check;
