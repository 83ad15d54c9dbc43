package emulator

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// jarPath is where the Google Cloud CLI puts the emulator, below its root.
const jarPath = "platform/cloud-firestore-emulator/cloud-firestore-emulator.jar"

// ErrNotFound says what is missing to run the emulator, and how to get it.
var ErrNotFound = errors.New("the Firestore emulator is not installed")

// Command is what it takes to run the emulator.
type Command struct {
	// Java is the path of the java program.
	Java string
	// Jar is the path of the emulator.
	Jar string
}

// Find looks for the emulator in the Google Cloud CLI that the path leads to, or
// in the places where it is usually installed, and for java in JAVA_HOME and
// the path. It fails with ErrNotFound, whose text tells how to install what is
// missing. It runs nothing: asking gcloud itself takes a second or more.
func Find() (Command, error) {
	jar, err := findJar()
	if err != nil {
		return Command{}, err
	}
	java, err := findJava()
	if err != nil {
		return Command{}, err
	}
	return Command{Java: java, Jar: jar}, nil
}

func findJar() (string, error) {
	for _, root := range sdkRoots() {
		jar := filepath.Join(root, filepath.FromSlash(jarPath))
		if isFile(jar) {
			return jar, nil
		}
	}
	return "", fmt.Errorf("%w: install the Google Cloud CLI and run "+
		"`gcloud components install cloud-firestore-emulator`, or with apt "+
		"`apt-get install google-cloud-cli-firestore-emulator`", ErrNotFound)
}

// sdkRoots are the folders a Google Cloud CLI may be in, the likeliest first.
func sdkRoots() []string {
	var roots []string
	if root := os.Getenv("CLOUDSDK_ROOT_DIR"); root != "" {
		roots = append(roots, root)
	}
	if gcloud, err := exec.LookPath("gcloud"); err == nil {
		// Packages link /usr/bin/gcloud to <root>/bin/gcloud.
		if target, err := filepath.EvalSymlinks(gcloud); err == nil {
			gcloud = target
		}
		roots = append(roots, filepath.Dir(filepath.Dir(gcloud)))
	}
	if home, err := os.UserHomeDir(); err == nil {
		roots = append(roots, filepath.Join(home, "google-cloud-sdk"))
	}
	return append(roots, "/usr/lib/google-cloud-sdk", "/opt/google-cloud-sdk",
		"/google-cloud-sdk", "/usr/local/google-cloud-sdk")
}

func findJava() (string, error) {
	if home := os.Getenv("JAVA_HOME"); home != "" {
		if java, err := exec.LookPath(filepath.Join(home, "bin", "java")); err == nil {
			return java, nil
		}
	}
	java, err := exec.LookPath("java")
	if err != nil {
		return "", fmt.Errorf("%w: it needs Java 21 or later (17 is enough for "+
			"version 1.19), for example `apt-get install openjdk-21-jre-headless`",
			ErrNotFound)
	}
	return java, nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
