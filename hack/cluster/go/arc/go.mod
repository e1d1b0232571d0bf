module arc

go 1.26.8

require github.com/actions/actions-runner-controller v0.27.6
