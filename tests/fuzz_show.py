import sys
sys.path[:0]=['python','.']
from tests.fuzzing import generate
for s in sys.argv[2:]:
    p=generate.generate(int(s),sys.argv[1]=='legal'); print('#',s,p.arch,p.illegal,p.error_line); print(p.text)
