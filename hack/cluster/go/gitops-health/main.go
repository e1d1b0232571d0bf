// Command gitops-health prints what GitOps tools make of Kubernetes objects: kstatus, which Flux and `helm --wait` go by,
// and the health that Argo CD gets from a Lua script.
//
// It reads a JSON array of objects from its input and writes one of answers, in the same order.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

// said is what one tool says of an object.
type said struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

type answer struct {
	Kstatus said `json:"kstatus"`
	Argo    said `json:"argo"`
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: gitops-health SCRIPT <OBJECTS")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(file string) error {
	script, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var objects []unstructured.Unstructured
	if err := json.NewDecoder(os.Stdin).Decode(&objects); err != nil {
		return err
	}
	answers := make([]answer, 0, len(objects))
	for _, object := range objects {
		computed, err := status.Compute(&object)
		if err != nil {
			return err
		}
		health, err := argoHealth(string(script), object.Object)
		if err != nil {
			return err
		}
		answers = append(answers, answer{said{string(computed.Status), computed.Message}, health})
	}
	return json.NewEncoder(os.Stdout).Encode(answers)
}
