import sys, collections, time, os
sys.path[:0]=['python','.']
os.environ.setdefault("TILESCALE_VERIFY","1")
from tests.fuzzing import check, generate
a,b=int(sys.argv[1]),int(sys.argv[2]); mode=sys.argv[3]
legal={'legal':True,'illegal':False,'sim':True,'text':True}[mode]
c=collections.Counter(); t0=time.time(); seen=collections.Counter()
for s in range(a,b):
    p=generate.generate(s,legal)
    try:
        if not legal: check.check_illegal(p)
        else:
            f,x,y=check.check_lowers(p)
            if mode=='text': check.check_text(p,x)
            if mode=='sim': check.check_results(p,f)
        c['ok']+=1
    except check.Failure as e:
        c[e.kind]+=1
        key=e.text.split('\n')[0][:110]
        key=''.join(ch for ch in key if not ch.isdigit())
        seen[(e.kind,key)]+=1
        if seen[(e.kind,key)]<=int(os.environ.get('SHOW','1')): print('==',s,p.illegal,e.kind, e.text[:900],flush=True)
print(c,time.time()-t0)
for k,v in seen.most_common(60): print(v,k)
