package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
)

// version and commit are set by the linker in a release's build (Dockerfile).
var version, commit string

type versionCommand struct{}

// Run prints one line: version, commit if it is known, toolchain and platform.
func (versionCommand) Run(p *program) error {
	info, _ := debug.ReadBuildInfo()
	_, err := fmt.Fprintln(p.stdout, versionLine(info))
	return err
}

func versionLine(info *debug.BuildInfo) string {
	if info == nil {
		info = &debug.BuildInfo{}
	}
	v, c := cmp.Or(version, info.Main.Version, "(devel)"), commit
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			c = cmp.Or(c, s.Value)
		}
	}
	if c != "" {
		c = " " + c
	}
	return fmt.Sprintf("replifire %s%s %s %s/%s", v, c, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
