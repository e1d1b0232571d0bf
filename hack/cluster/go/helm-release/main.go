// Command helm-release reads a HelmRelease of Flux from its standard input, strictly by the type that helm-controller has
// of it, and ends with 1 and a sentence where that knows a field not. helm-controller's own CRD is in no Go module.
package main

import (
	"fmt"
	"io"
	"os"

	v2 "github.com/fluxcd/helm-controller/api/v2"
	"sigs.k8s.io/yaml"
)

func main() {
	text, err := io.ReadAll(os.Stdin)
	if err == nil {
		err = yaml.UnmarshalStrict(text, &v2.HelmRelease{})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
