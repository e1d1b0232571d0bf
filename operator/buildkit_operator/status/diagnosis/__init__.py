"""What live objects tell of what is wrong: daemons, PVCs, runner pods, drains. Each a finding with its remedy."""
