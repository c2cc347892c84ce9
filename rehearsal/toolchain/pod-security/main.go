// What Pod Security's official evaluator says of pods, one line for each that the restricted level (latest) forbids.
//
// Reads a JSON list of {"name", "spec"} from standard input. A pod that is let in has no line.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

type pod struct {
	Name string         `json:"name"`
	Spec corev1.PodSpec `json:"spec"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintf(os.Stderr, "pod-security: %v\n", err)
		os.Exit(1)
	}
}

func run() error {
	var pods []pod
	decoder := json.NewDecoder(os.Stdin)
	// A key that is no pod's would be checked by nobody.
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&pods); err != nil {
		return err
	}
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return err
	}
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	for _, each := range pods {
		results := evaluator.EvaluatePod(restricted, &metav1.ObjectMeta{Name: each.Name}, &each.Spec)
		if found := policy.AggregateCheckResults(results); !found.Allowed {
			fmt.Printf("%s: %s\n", each.Name, found.ForbiddenDetail())
		}
	}
	return nil
}
