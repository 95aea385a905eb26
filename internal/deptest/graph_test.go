package deptest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// module is the path of the project's own packages.
const module = "github.com/reputemail/repute"

// pkg is what "go list -json" says of a package, as far as it is of use here.
type pkg struct {
	ImportPath string
	// Imports are those of the files that are linked into programs, the others those of the two kinds of tests.
	Imports, TestImports, XTestImports []string
}

// tests are the imports of its tests.
func (p pkg) tests() []string { return slices.Concat(p.TestImports, p.XTestImports) }

// graph has the project's packages by their paths inside the project; "." is the top.
type graph map[string]pkg

// load reads the graph of the project in dir.
func load(dir string) (graph, error) {
	// "go test" repeats a cached result until something that the test itself has opened changes. What "go list" opens does
	// not count, so every folder is opened here too.
	if err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() && path != dir && strings.HasPrefix(e.Name(), ".") {
			return fs.SkipDir
		}
		return err
	}); err != nil {
		return nil, err
	}
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Imports,TestImports,XTestImports", "./...")
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%v: %w\n%s", cmd.Args, err, stderr.Bytes())
	}
	g := make(graph)
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return g, nil
		} else if err != nil {
			return nil, err
		}
		name, ok := inside(p.ImportPath)
		if !ok {
			return nil, fmt.Errorf("package %s is not of %s", p.ImportPath, module)
		}
		g[name] = p
	}
}

// inside is the path of an import inside the project, and whether it is of the project at all.
func inside(path string) (string, bool) {
	if path == module {
		return ".", true
	}
	return strings.CutPrefix(path, module+"/")
}

// below reports whether a path is one of the roots or below one.
func below(path string, roots ...string) bool {
	return slices.ContainsFunc(roots, func(root string) bool { return path == root || strings.HasPrefix(path, root+"/") })
}

// reach finds every package of the project that a package links, directly or not, each with the way to it.
func (g graph) reach(from string) map[string][]string {
	ways := map[string][]string{}
	next := [][]string{{from}}
	for len(next) > 0 {
		way := next[0]
		next = next[1:]
		for _, path := range g[way[len(way)-1]].Imports {
			name, ok := inside(path)
			if _, seen := ways[name]; !ok || seen || name == from {
				continue
			}
			ways[name] = append(slices.Clone(way), name)
			next = append(next, ways[name])
		}
	}
	return ways
}
