# Hashes of hashes, regular expressions, sorting and joining; the argument is percent of the work.
use strict;
use warnings;

my $rounds = $ARGV[0] * 6 / 100;
$rounds = 1 if $rounds < 1;
my $total = 0;
for my $round (1 .. $rounds) {
    my (%count, %by_letter, @lines);
    for my $n (1 .. 20000) {
        my @words = map { 'w' . ($n * $_ * 7919 % 5003) } 1 .. $n % 9 + 1;
        push @lines, join ' ', @words;
    }
    for my $line (@lines) {
        while ($line =~ /(w(\d)\d*)/g) {
            $count{$1}++;
            $by_letter{$2}{$1} .= substr $line, 0, 3;
        }
    }
    for my $letter (sort keys %by_letter) {
        my $words = $by_letter{$letter};
        my @most = sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %$words;
        $total += length join ',', map { s/w/v/r . $words->{$_} } @most;
    }
    my @records = map { { name => $_, words => [split / /] } } @lines;
    $total += @{ $_->{words} } for grep { $_->{name} =~ /7$/ } @records;
}
print "$total\n";
