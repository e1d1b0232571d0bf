use strict;
use Sum;

print Sum::of(@ARGV), "\n";
