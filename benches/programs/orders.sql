-- Tables with texts and indexes, joined, grouped, changed and dropped, in memory. The table `work`
-- holds percent of the work.
create table customer (id integer primary key, name text, city text);
create table sale (id integer primary key, customer integer, item text, amount real, note text);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 100 * (select percent from work))
insert into customer select i, 'customer ' || (i * 7919 % 10007), 'city ' || (i % 97) from n;
with recursive n(i) as (select 1 union all select i + 1 from n where i < 2200 * (select percent from work))
insert into sale select i, 1 + i * 31 % (100 * (select percent from work)), 'item ' || (i * 13 % 1009),
    (i % 1000) / 4.0, substr('a note that is sometimes long and sometimes short', 1, i % 50) from n;
create index sale_customer on sale (customer, item);
create index sale_item on sale (item, amount);
create index customer_city on customer (city, name);
select city, count(*), round(sum(amount), 2) from sale join customer on customer.id = sale.customer
    group by city order by 3 desc, 1 limit 5;
select item, group_concat(distinct substr(note, 1, 2)) from sale where amount > 200 group by item
    order by item limit 5;
update sale set note = note || ' and more of it: ' || item where id % 3 = 0;
delete from sale where customer % 10 = 3;
select count(*), sum(length(note)), round(avg(amount), 3) from sale;
select json_group_array(json_object('item', item, 'amount', amount)) from (select * from sale order by id limit 3);
select count(*) from (select upper(name) as loud, city from customer union select lower(name), city from customer order by 1);
vacuum;
select count(*) from sale s where exists (select 1 from customer c where c.id = s.customer and c.city like '%7');
