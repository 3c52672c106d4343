# Hashes of arrays, long strings, regular expressions, closures, sorting, a pipe to a child.
use strict;
use warnings;

my $state = 42;
sub draw { $state = ($state * 1103515245 + 12345) % 2147483648; return ($state >> 8) % shift }

my (%lines_of, @text);
for my $line (1 .. 12000) {
    my @words = map { "w" . draw(3000) . ("x" x draw(20)) } 1 .. 10;
    push @text, join " ", @words;
    push @{ $lines_of{$_} }, $line for @words;
}
my @common = sort { @{ $lines_of{$b} } <=> @{ $lines_of{$a} } || $a cmp $b } keys %lines_of;
printf "%d words, most common: %s\n", scalar @common, join ", ", @common[0 .. 9];

my $text = join "\n", @text;
my %length;
$length{ length $1 }++ while $text =~ /\bw\d+(x*)\b/g;
print join(" ", map { "$_:$length{$_}" } sort { $a <=> $b } keys %length), "\n";
(my $swapped = $text) =~ s/(\w+) (\w+)/$2 $1/g;
printf "%s %d\n", unpack("%32C*", $swapped), length $swapped;

my @closures = map { my $n = $_; sub { my %copy = (n => $n, list => [1 .. $n % 50]); @{ $copy{list} } } } 1 .. 5000;
my $sum = 0;
$sum += $_->() for @closures;
delete @lines_of{ @common[0 .. $#common / 2] };
print "$sum ", scalar(keys %lines_of), "\n";

my $child = open(my $pipe, "-|") // die "fork: $!";
if (!$child) {
    my @mine = map { "child $_ " . "y" x 3000 } 1 .. 300;
    undef %lines_of;
    print "$_\n" for @mine;
    exit 0;
}
my ($count, $bytes) = (0, 0);
while (<$pipe>) { $count++; $bytes += length }
close $pipe or die "child: $?";
print "$count $bytes\n";
