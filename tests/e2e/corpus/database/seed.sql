create table fruit (name text);
insert into fruit values ('apple'), ('pear');
