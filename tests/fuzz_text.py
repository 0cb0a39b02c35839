import sys
sys.path[:0]=["python","."]
from tests.fuzzing import generate, check
from tilescale._ffi import function
p=generate.generate(int(sys.argv[1]),True); f=check.trace(p); print(p.text)
if len(sys.argv)>2: print(function("driver.lower")(f.func,"sim "+p.arch,{},sys.argv[2]))
else:
  a=check.lower(p,f); print(function("runtime.executable")(a,lambda i:a).source(0))
