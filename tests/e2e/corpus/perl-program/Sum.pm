package Sum;
use strict;
use List::Util;

sub of { return List::Util::sum(@_) }

1;
