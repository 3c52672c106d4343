-- A table with an index, in memory, whose rows are looked up and changed at random. The table `work`
-- holds thousands of rows.
create table entry (id integer primary key, name text, note text);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 1000 * (select thousands from work))
insert into entry select i, 'name ' || (i * 7919 % 1000003),
    'note ' || i || substr(' that says something that was said before, of ' || (i % 97) || ' things and of more of them, and then ends', 1, 20 + i % 90) || (i * 31 % 9973)
    from n;
create index entry_name on entry (name);
with recursive n(i, x) as (select 1, 1 union all select i + 1, (x * 1103515245 + 12345) % 2147483648 from n where i < 500 * (select thousands from work))
select count(*), sum(length(note)) from n join entry on entry.id = 1 + x / 16 % (1000 * (select thousands from work));
with recursive n(i, x) as (select 1, 1 union all select i + 1, (x * 1103515245 + 12345) % 2147483648 from n where i < 100 * (select thousands from work))
update entry set note = note || ' and more' where id in (select 1 + x / 16 % (1000 * (select thousands from work)) from n);
select count(*), sum(length(note)), max(note) from entry;
with recursive n(i) as (select 1 union all select i + 1 from n where i < 50 * (select thousands from work))
select count(*), sum(length(note)) from n join entry on entry.name = 'name ' || (i * 131 % 1000003);
