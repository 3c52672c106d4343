# Counts, sorts and joins a large hash; what it prints depends on every byte.
use strict;
use warnings;
my (%count, $number);
$number = 12345;
for (1 .. 200000) {
    $number = ($number * 1103515245 + 12345) % 2147483648;
    my $key = sprintf "%06d-%s", $number % 120000, "x" x ($number % 50);
    $count{$key}++;
}
my @keys = sort { $count{$b} <=> $count{$a} or $a cmp $b } keys %count;
my $sum = 0;
$sum = ($sum * 31 + length($_) * $count{$_} + unpack "%32C*", $_) % 1000000007 for @keys;
print scalar(@keys), " $keys[0] $keys[-1] $sum\n";
