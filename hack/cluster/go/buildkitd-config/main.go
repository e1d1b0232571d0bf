// Command buildkitd-config loads texts as buildkitd loads its configuration file.
//
// It reads JSON strings, one a line, and answers each with a line as soon as it has it: an object with the text's
// configuration, in which the fields have Go's names, or with what buildkitd says of it.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/moby/buildkit/cmd/buildkitd/config"
)

type answer struct {
	Config *config.Config `json:"config,omitempty"`
	Error  string         `json:"error,omitempty"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	texts := json.NewDecoder(bufio.NewReader(os.Stdin))
	answers := json.NewEncoder(os.Stdout)
	for texts.More() {
		var text string
		if err := texts.Decode(&text); err != nil {
			return err
		}
		if err := answers.Encode(loaded(text)); err != nil {
			return err
		}
	}
	return nil
}

func loaded(text string) answer {
	loaded, err := config.Load(strings.NewReader(text))
	if err != nil {
		return answer{Error: err.Error()}
	}
	return answer{Config: &loaded}
}
